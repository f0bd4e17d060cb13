"""Tests of two samples, and of one against a score: p-values for "these are draws from one distribution"."""

from divjax.numerics import calls as _calls
from divjax.twosample.classifier import classifier_test as classifier_test
from divjax.twosample.permutation import energy_test as energy_test
from divjax.twosample.permutation import mmd_test as mmd_test
from divjax.twosample.result import TestResult as TestResult
from divjax.twosample.stein import stein_test as stein_test

__getattr__ = _calls.meant(__name__)
