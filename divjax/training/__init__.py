"""Loss and optimiser in, Iteration out."""

from divjax.training.adjustments import consensus as consensus
from divjax.training.adjustments import symplectic as symplectic
from divjax.training.adversarial import adversarial_losses as adversarial_losses
from divjax.training.adversarial import unrolled as unrolled
from divjax.training.fit import FitResult as FitResult
from divjax.training.fit import FitState as FitState
from divjax.training.fit import fit as fit
from divjax.training.games import GameResult as GameResult
from divjax.training.games import GameState as GameState
from divjax.training.games import Players as Players
from divjax.training.games import Start as Start
from divjax.training.games import game as game
from divjax.training.newton import NewtonState as NewtonState
from divjax.training.newton import newton as newton
