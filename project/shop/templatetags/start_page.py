"""`{% start_page %}`: the address of the start page."""

from django import template
from django.urls import get_script_prefix

register = template.Library()

register.simple_tag(get_script_prefix, name="start_page")
