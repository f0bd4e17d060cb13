"""XLA's flags for tests: most of their time goes into compiling, which LLVM's optimisations double."""

from jaxlib.version import __version_info__ as jaxlib_version

# XLA's plain emitters on a CPU; a jaxlib that has no others ends at the unknown flag.
PLAIN = "--xla_cpu_use_fusion_emitters=false" if jaxlib_version[:3] < (0, 11, 1) else ""
QUICK = f"{PLAIN} --xla_backend_optimization_level=0".strip()  # of a process that a test starts
