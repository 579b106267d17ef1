"""A step of training that several ranks share, with the bits of one process's.

The order of sums. A batch is cut into micro-batches, the *leaves*, as in one process; leaf k belongs to rank k mod N. In round j each
rank makes the gradient of leaf jN + rank by itself. The parameters are cut into slices, one for each rank, its *owner*, who gets
that slice of every rank's gradient and adds them in the order of the leaves: every number is ((g₀ + g₁) + g₂) + …, as in one
process, for any N. The owner moves its slice by the optimiser, whose moments it alone keeps, and sends the weights to all.
"""
