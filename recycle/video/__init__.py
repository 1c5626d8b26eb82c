"""Reads, writes, finds and describes video files and folders of images."""
