"""Video files and folders of images: opened, read, written, and what they hold."""
