"""The fits to a sample in words: the table that ``divjax fit`` prints."""

from divjax.status import explain
from divjax.studies.sample.study import SampleFit
from divjax.tables import table

NOTES = """\
kl is maximum likelihood; its value is the mean negative log-likelihood in nats. The others have the units of the data.
data near μ: share of the rows within σ/4 of μ, where the fitted Gaussian itself has 19.7 %."""


def sample(fits: dict[str, SampleFit], name: str, num: int) -> str:
    """The fits of a Gaussian to a sample."""
    numbers = {key: [f"{each:.5g}" for each in (found.loc, found.scale, found.value)] for key, found in fits.items()}
    rows = [
        (key, *numbers[key], f"{100 * found.near:.1f} %", explain(found.status).partition(":")[0])
        for key, found in fits.items()
    ]
    header = ("divergence", "μ", "σ", "value", "data near μ", "status")
    return "\n".join((f"A Gaussian fitted to {name}, {num} rows", "", table(header, rows), "", NOTES))
