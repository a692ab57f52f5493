"""The second part of the ladder: both programs at a random point of a prime field.

Floats become elements of Z_p: sums, products and quotients are exact there, so
rounding, summation order and rescaling do not matter.  Functions such as exp are
random oracles, comparisons use one random total order.  Two different rational
expressions agree at a random point with a probability of about degree / p.
"""
