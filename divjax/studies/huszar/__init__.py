"""Huszár (2015): the weight of Jensen-Shannon, and scheduled sampling."""
