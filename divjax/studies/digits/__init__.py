"""Images of digits by a flow, an autoencoder and adversarial generators."""
