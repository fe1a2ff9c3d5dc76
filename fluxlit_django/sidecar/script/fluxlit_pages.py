"""The script of an app that is made of pages; its argument is the app's name."""

import sys

import fluxlit_django.pages.runner

fluxlit_django.pages.runner.run(*sys.argv[1:])
