"""Translates whole folders of video unattended: plan, record, and engines for one machine or a cluster."""
