"""`python -m training.environments RECIPE > tools.yaml`: the file that tells verl of the python tool."""

import argparse
import sys
from collections.abc import Sequence

from records.recipe import read_recipe
from records.recipe.section import RecipeError
from training.environments.schema import verl_tools


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.environments", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--sees-images", action="store_true", help="the policy is a vision model")
    parser.add_argument("--images-root", help="the image store, for rows whose create_kwargs hold a question")
    given = parser.parse_args(arguments)
    try:
        settings = read_recipe(given.recipe).sandbox
    except RecipeError as error:
        sys.exit(str(error))
    sys.stdout.write(verl_tools(settings, sees_images=given.sees_images, images_root=given.images_root))


if __name__ == "__main__":
    main()
