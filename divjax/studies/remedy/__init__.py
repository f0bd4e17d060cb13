"""The remedy: a mixture fitted to two modes, by EM and by gradients."""
