"""What a recipe may say, and how it is loaded: extends, delete, macros, templates, origins."""
