"""The fits to a sample in words: the table that ``divjax fit`` prints."""

from divjax.status import OK, STALLED
from divjax.studies.sample.study import SampleFit
from divjax.tables import table


def sample(fits: dict[str, SampleFit], name: str, num: int) -> str:
    """The fits of a Gaussian to a sample."""
    rows = [
        (key, f"{found.loc:.5g}", f"{found.scale:.5g}", f"{found.value:.5g}", f"{100 * found.near:.1f} %",
         "ok" if found.status == OK else "stalled" if found.status == STALLED else "not converged")
        for key, found in fits.items()
    ]  # fmt: skip
    header = ("divergence", "μ", "σ", "value", "data near μ", "status")
    return "\n".join([
        f"A Gaussian fitted to {name}, {num} rows", "", table(header, rows), "",
        "kl is maximum likelihood; its value is the mean negative log-likelihood in nats. The others have the units of "
        "the data.", "data near μ: share of the rows within σ/4 of μ, where the fitted Gaussian itself has 19.7 %.",
    ])  # fmt: skip
