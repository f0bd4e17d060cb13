"""What figures say: numbers, formulas, units."""

NATS = ("kl", "reverse_kl", "jeffreys", "jensen_shannon", "bhattacharyya", "chernoff", "renyi", "gamma", "cauchy")
LENGTHS = ("wasserstein", "cramer", "energy")


def fixed(value):
    """Two decimals; three digits where they would say little."""
    text = f"{value:.2f}" if abs(value) < 1000 and (abs(value) >= 0.1 or abs(value) < 1e-3) else f"{value:.3g}"
    return "0.00" if text == "-0.00" else text


def place(loc, scale):
    """A mean, no finer than the deviation about it asks for."""
    return fixed(round(loc, 2) if scale >= 0.1 else loc)


def short(value):
    """Three digits."""
    return f"{value:#.3g}".removesuffix(".") if abs(value) >= 1e-4 else "0" if abs(value) < 1e-9 else f"{value:.0e}"


def percent(share, digits=1):
    return f"{100 * share:.{digits}f}".removesuffix(".0") + " %"


def normal(loc, scale):
    loc, scale = (fixed(v).removesuffix(".00") for v in (loc, scale))
    return f"N({loc}, {scale}²)" if scale != "1" else f"N({loc}, 1)"


def mixture(modes, weights):
    parts = {0.5: "½ ", 0.25: "¼ ", 0.75: "¾ "}
    return " + ".join(
        f"{parts.get(float(w), f'{w:g} ')}{normal(m, s)}" for w, (m, s) in zip(weights, modes, strict=True)
    )


def value(name, number):
    return f"{name} = {short(number)} {unit(name)}".rstrip()


def unit(name):
    """What a divergence is measured in; empty if it has no unit."""
    return "nats" if name.startswith(NATS) else "units of x" if name.startswith(LENGTHS) else ""
