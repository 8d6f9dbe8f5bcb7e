"""Operations of one LFADS training step that no implementation can leave out."""


def training_step_flops(
    *,
    batch: int,
    bins: int,
    neurons: int,
    encoder: int,
    controller: int,
    generator: int,
    factors: int,
    inferred_inputs: int,
) -> float:
    """Matrix-product operations (2 per multiply-add) of one step, forward and backward.

    Gradients in the data are not counted: nobody needs them.
    """
    per_bin = 2.0 * batch * bins
    encoders = 4 * 3 * encoder * (2 * (neurons + encoder) + encoder)
    control = 3 * 3 * controller * (2 * encoder + factors + controller)
    generate = 3 * 3 * generator * (inferred_inputs + generator)
    linear = 3 * (generator * factors + factors * neurons + controller * 2 * inferred_inputs)
    return per_bin * (encoders + control + generate + linear)
