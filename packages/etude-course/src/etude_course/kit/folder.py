"""A started folder: which assignment it holds, in which version, for whom."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etude.data.files import write_atomically
from etude_course.errors import CourseError

NAME = "assignment.json"


@dataclass(frozen=True)
class Started:
    """What ``etude course start`` wrote down. Parameters are the student's."""

    assignment: str
    version: int
    course: str = ""
    student: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        write_atomically(folder / NAME, text.encode())

    @classmethod
    def read(cls, folder: Path) -> Started:
        """CourseError for a folder that nobody has started."""
        path = folder / NAME
        try:
            document = json.loads(path.read_text())
            return cls(**document)
        except FileNotFoundError:
            raise CourseError(f"{folder} holds no started assignment (it has no {NAME}). Go to the "
                              f"folder of one, or begin with 'etude course start'") from None
        except (OSError, ValueError, TypeError) as error:
            raise CourseError(f"{path} cannot be read: {error}. 'etude course start' writes it "
                              f"again") from None
