"""The records are what everything is made of: row types, tables, the image store, the recipe and the workspace. They
import no other room."""
