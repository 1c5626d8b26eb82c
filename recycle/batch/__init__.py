"""Whole folders of video, unattended: what is to be done, its record, and the engines that do it."""
