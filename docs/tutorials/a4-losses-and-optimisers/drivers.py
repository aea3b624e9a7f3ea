"""What calls the optimisers of A4: several steps with given gradients."""


def steps_of(optimizer, params, gradients):
    """The parameters after each step."""
    path = []
    for g in gradients:
        params = optimizer.step(params, g)
        path.append(params)
    return path


def sgd(answer, settings, params, gradients):
    return steps_of(answer.SGD(**settings), params, gradients)


def adamw(answer, settings, params, gradients):
    return steps_of(answer.AdamW(**settings), params, gradients)
