"""The page of `recycle ui`: trains, translates and compares in a browser, on this machine.

It calls the public functions of `recycle`, one at a time, each with a `Job`. `desk` runs the calls and remembers what
they report; `guard` decides who may use the page; `server` starts it; the other modules draw it. Only this package
imports NiceGUI, from the extra recycle[ui].
"""
