"""What is handed to people, made from the program's folder that PyInstaller writes: see ``python -m release``."""
