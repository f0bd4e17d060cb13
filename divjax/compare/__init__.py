"""Two files of samples, compared: read, judged, drawn, and told on a page."""
