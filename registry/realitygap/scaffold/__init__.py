"""`skills new`: complete packages of third parties, from the templates beside this file.

A template is a file `NAME.tmpl` below `templates/common` or `templates/KIND`. `PACKAGE` and `SKILL` in its path and `@@word@@` in its text
stand for what `names.Names` says; a leading `dot_` stands for a dot.
"""
