"""What everything is made of: the row types, their tables, the image store and the recipe. Imports no other room."""
