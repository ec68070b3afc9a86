"""An operator of your own
=======================

A subclass of ``Operator`` gives A, its adjoint, two rules for shapes and what identifies it. Everything else follows:
autograd, arrays of NumPy, compositions, norms, and every solver.

Here A is a camera that reads two rows of four: ::

    A x = the rows 0, 1, 4, 5, 8, 9, ... of x
"""

import matplotlib.pyplot as plt

import fastip
from fastip import data, figures, metrics, priors
from fastip.contracts import Scalar
from fastip.errors import InvalidInput
from fastip.operators import Operator

# %%
# Where A A^T is known, state it: this camera keeps rows as they are, so A A^T = I, a ``Scalar``. The exact data step is
# then a division, and no list of operators has to be told.


class RowPairs(Operator):
    """Two rows of four: from b c h w, h a multiple of 4, to b c h/2 w; A A^T = I."""

    channelwise = True

    def _forward(self, x):
        return x.unflatten(2, (-1, 4))[:, :, :, :2].flatten(2, 3).clone()

    def _adjoint(self, y):
        x = y.new_zeros(self.input_shape(tuple(y.shape)))
        x.unflatten(2, (-1, 4))[:, :, :, :2] = y.unflatten(2, (-1, 2))
        return x

    def _parameters(self):
        return ()

    def output_shape(self, input_shape):
        b, c, h, w = input_shape
        if h % 4:
            raise InvalidInput(f"the image has {h} rows; expected a multiple of 4: cut the last {h % 4} off")
        return (b, c, h // 2, w)

    def input_shape(self, output_shape):
        b, c, h, w = output_shape
        if h % 2:
            raise InvalidInput(f"the data have {h} rows; expected an even number: two come from each four of the image")
        return (b, c, 2 * h, w)

    def cogram(self, output_shape):
        self.input_shape(output_shape)
        return Scalar(1.0)


# %%
# It is an operator as any other. The adjoint is tested in one line, and ``explain`` says what a solve will run.

truth = data.held_out_photographs(["chelsea"])["chelsea"][..., 40:232, 100:292]
op = RowPairs()
y = data.degrade(truth, op, 0.01)
product = float((op(truth).double() * y).sum())
gap = product - float((truth.double() * op.adjoint(y)).sum())
print(f"(<A x, y> - <x, A^T y>) / <A x, y> = {gap / product:.1e}")

prior = priors.TV(weight=2e-3) + priors.Box(0, 1)
print(fastip.explain(op, prior, y))

# %%
# Total variation fills the missing rows; so does the learned restorer, which never saw this operator.

classical = fastip.admm(y, op, prior, iterations=200).x
x = fastip.shipped.restorer("photo").solve(y, op, noise=0.01).x
for name, picture in (("total variation", classical), ("restorer", x)):
    print(f"{name:>16}: {float(metrics.psnr(picture.clamp(0, 1), truth)):.2f} dB")

# %%

figures.draw_pictures(
    plt.figure(), {"data": op.adjoint(y), "total variation": classical, "restorer": x, "truth": truth}
)
