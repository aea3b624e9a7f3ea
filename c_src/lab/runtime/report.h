/* report.h: findings and events, as lines of JSON to the file that LAB_EVENTS names.

   In fast mode a finding is a sentence on stderr besides. Python reads the lines
   (etude_cuda.lab.events) and quotes the source. */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include <string>
#include <vector>

#include "thread.h"

namespace lab {

/* One end of a finding: what a thread, or the host, did where. */
struct Place {
    const char *role = "";
    bool host = true;
    uint3 block{}, thread{};
    void *pc = nullptr;
    Site site{};
    unsigned size = 0;
    bool atomic = false, is_volatile = false;
    std::vector<void *> stack;

    Place() = default;
    Place(const char *role, const Thread &t); /* where t waits, or waited last */
    Place(const char *role, Site site, void *pc = nullptr) : role(role), pc(pc), site(site) {}
};

struct Object {
    std::string name;
    const char *space = nullptr; /* null: the finding is about no memory */
    size_t bytes = 0;
    int64_t offset = 0;
    void *allocated_pc = nullptr;
    Site allocated{};
};

struct Finding {
    const char *kind = "";
    const LaunchInfo *launch = nullptr;
    std::string words; /* one sentence, which names threads and lines */
    std::vector<Place> places;
    Object object{};
    const char *scope = "";
    uint64_t count = 1;
    std::string detail = "{}"; /* a JSON object */
};

/* Writes it down. The same kind at the same lines is told once per launch site. */
void report(const Finding &finding);

/* The number of the next finding, from 1: they are told in the order in which they were made, and
   some are written only at the end. */
uint64_t next_finding();

/* Writes a line; `json` is one object without the line's end. */
void write_event(const std::string &json);
bool events_wanted(); /* whether anybody reads them */
void note(const std::string &words);

std::string quoted(const std::string &text);   /* as a JSON string */
std::string where(Site site);                  /* "k.cu:12", or "an unknown line" */
std::string name_of(const Thread &t);          /* "block (0,0,0) thread (3,0,0)" */
std::string name_of(const LaunchInfo &launch); /* "kernel k (k.cu:12)" */

uint64_t findings();        /* so far */
extern const char *stopped; /* why the program ended before its end; empty if it did not */

}

#endif
