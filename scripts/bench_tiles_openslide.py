"""openslide-python's Deep Zoom server, as its example has it, to compare with: bench_tiles.sh runs it.

    python bench_tiles_openslide.py SLIDE PORT     Flask's own server
    SLIDE=… gunicorn bench_tiles_openslide:app     or a better one
"""

import io
import os
import sys

from flask import Flask, abort, make_response
from openslide import open_slide
from openslide.deepzoom import DeepZoomGenerator

slide = sys.argv[1] if __name__ == "__main__" else os.environ["SLIDE"]
tiles = DeepZoomGenerator(open_slide(slide), tile_size=256, overlap=0, limit_bounds=False)
app = Flask(__name__)


@app.route("/slide_files/<int:level>/<int:column>_<int:row>.jpeg")
def tile(level, column, row):
    try:
        image = tiles.get_tile(level, (column, row))
    except ValueError:
        abort(404)
    out = io.BytesIO()
    image.save(out, "jpeg", quality=85)
    answer = make_response(out.getvalue())
    answer.mimetype = "image/jpeg"
    return answer


if __name__ == "__main__":
    app.run(port=int(sys.argv[2]), threaded=True)
