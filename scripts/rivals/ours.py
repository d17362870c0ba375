"""bnexp itself: its compiled loop on the settings of the task."""

import numpy as np

from rivals.task import asked, serve


def main() -> None:
    """The contender; a whole run is `python -m bnexp.run`, not this."""
    order = asked()
    from bnexp.config.compose import compose
    from bnexp.data.loading import load
    from bnexp.training import backend
    from bnexp.training.batches import BatchOrder, on_device
    from bnexp.training.calls import Call
    from bnexp.training.program import program_for

    backend.start(order.threads)
    config = compose(*order.task.overrides())
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    train_split = on_device(dataset.train)
    batches = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    position = 0

    def train(steps: int) -> float:
        nonlocal position
        end, losses = position + steps, np.float32(0)
        while position < end:
            size = min(program.steps_per_call, end - position)
            call = Call(program, train_split, batches, config, position, size, losses)
            made = program.train(call)
            position, losses = made.end, made.loss_sum
        return float(losses) / steps

    serve(train, sum(int(np.prod(each.shape)) for each in program.model.trainable_variables))


if __name__ == "__main__":
    main()
