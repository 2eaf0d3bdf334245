"""Attacks through result images: bombs, polyglots, files that are no files, images that are programs.

Whatever comes back is decoded by the harness: it must be PNG, within the bounds, and free of anything behind its end.
"""

from .case import Attack, Cell

PIECES = """
import io, struct, zlib
from PIL import Image
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
def png(width, height, data, *more, depth=8, colour=0):
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0))
    return b'\\x89PNG\\r\\n\\x1a\\n' + head + b''.join(more) + chunk(b'IDAT', data) + chunk(b'IEND', b'')
def bomb(width, height, depth=1):
    line = bytes(1 + (width * depth + 7) // 8)
    packer = zlib.compressobj(9)
    lines = b''.join(packer.compress(line * 64) for _ in range(height // 64))
    return png(width, height, lines + packer.flush(), depth=depth)
def save(name, data):
    with open(name, 'wb') as file: file.write(data)
"""

ATTACKS = [
    Attack(
        "decompression_bomb",
        "save PNG files of a few kilobytes and hundreds of millions of pixels",
        (
            Cell(
                PIECES + "save('a.png', bomb(19_968, 19_968))\nsave('b.png', bomb(8_960, 8_960))",
                ("ok", "out_of_memory"),
                images=(0, 2),
            ),
            Cell("save('c.png', png(1 << 30, 1 << 30, zlib.compress(b'x')))", images=(0, 0), notes="not shown"),
            Cell(
                "Image.MAX_IMAGE_PIXELS = None\nImage.new('1', (60_000, 20_000))",
                ("ok", "raised", "out_of_memory"),
                images=(0, 1),
            ),
        ),
    ),
    Attack(
        "bombs_in_metadata",
        "PNG text, profile and palette chunks that unpack to gigabytes, endless chunks",
        (
            Cell(
                PIECES
                + """
big = zlib.compress(bytes(200 << 20), 9)
pixel = zlib.compress(b'\\0\\0')
save('a.png', png(1, 1, pixel, chunk(b'zTXt', b'k\\0\\0' + big)))
save('b.png', png(1, 1, pixel, chunk(b'iCCP', b'k\\0\\0' + big)))
save('c.png', png(1, 1, pixel, *[chunk(b'tEXt', b'k\\0v' * 10)] * 50_000))
save('d.png', png(1, 1, pixel, chunk(b'acTL', struct.pack('>II', 1 << 30, 0))))
""",
                images=(0, 4),
            ),
        ),
    ),
    Attack(
        "polyglots",
        "images that are also archives, pages and programs",
        (
            Cell(
                PIECES
                + """
import zipfile
whole = png(1, 1, zlib.compress(b'\\0\\xff'))
archive = io.BytesIO()
with zipfile.ZipFile(archive, 'w') as file: file.writestr('x.py', 'POLYGLOT')
save('a.png', whole + archive.getvalue())
save('b.png', whole + b'<html><script>POLYGLOT</script>')
save('c.png', b'#!/bin/sh\\nPOLYGLOT\\n')
save('d.png', png(1, 1, zlib.compress(b'\\0\\xff'), chunk(b'tEXt', b'k\\0<?php POLYGLOT ?>')))
""",
                images=(1, 4),
                notes="c.png",
            ),
        ),
    ),
    Attack(
        "broken_images",
        "files cut short, with wrong sums, wrong sizes, and names that lie about what they are",
        (
            Cell(
                PIECES
                + """
buffer = io.BytesIO()
Image.effect_noise((200, 200), 50).save(buffer, 'PNG')
save('cut.png', buffer.getvalue()[:5000])
save('sum.png', buffer.getvalue()[:60] + b'\\xff\\xff' + buffer.getvalue()[62:])
save('empty.png', b'')
save('svg.png', b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>')
save('ps.png', b'%!PS-Adobe-3.0 EPSF-3.0\\n%%BoundingBox: 0 0 9 9\\n(/tmp/ran) (w) file\\n')
save('none.png', png(0, 0, b''))
""",
                images=(0, 1),
                notes="cut.png",
            ),
        ),
    ),
    Attack(
        "frames",
        "animations of thousands of frames, files of many pages",
        (
            Cell(
                PIECES
                + """
frames = [Image.new('P', (40, 40), n % 256) for n in range(3000)]
frames[0].save('a.gif', save_all=True, append_images=frames[1:])
frames[0].save('b.tiff', save_all=True, append_images=frames[1:300])
Image.open('a.gif')
""",
                images=(1, 3),
            ),
        ),
    ),
    Attack(
        "no_files",
        "links, pipes, folders, sockets and devices with the names of images",
        (
            Cell(
                """
import matplotlib, pathlib, socket
os.chdir('/tmp')
real = next(pathlib.Path(matplotlib.get_data_path()).rglob('*.png'))
os.symlink(real, 'real.png')
os.symlink(real.parent, 'folder')
targets = [('x', '/etc/passwd'), ('y', '/dev/zero'), ('z', 'z.png'), ('p', '/proc/self/mem')]
for name, target in [*targets, *enumerate(host['files'])]:
    os.symlink(target, f'{name}.png')
os.mkfifo('fifo.png')
os.mkdir('folder.png')
kept = socket.socket(socket.AF_UNIX)
kept.bind('socket.png')
with open('sparse.png', 'wb') as file: file.truncate(60 << 20)
os.link('sparse.png', 'hard.png')
""",
                images=(0, 0),
            ),
        ),
    ),
    Attack(
        "names_out",
        "image files whose names lead out of the folder, or break what names them",
        (
            Cell(
                PIECES
                + """
whole = png(1, 1, zlib.compress(b'\\0\\xff'))
for path in ('../' + host['marker'] + '.png', '/' + host['marker'] + '.png', '/var/tmp/' + host['marker'] + '.png'):
    attempt('save', save, path, whole)
save('..png', whole)
save('a\\n\\x1b[2J.png', whole)
save(b'\\xff\\xfe.png', png(2, 1, zlib.compress(b'\\0\\xff\\xff')))
save('n' * 251 + '.png', b'not one')
os.makedirs('d/' * 50)
save('d/../d/x.png', whole)
""",
                stdout=r"(save refused \w+\n){3}",
                images=(0, 4),
            ),
        ),
    ),
    Attack(
        "strange_sizes",
        "images with one long side, with none, with odd modes, many of them",
        (
            Cell("from PIL import Image\nImage.new('L', (100_000, 1))", images=(0, 1)),
            Cell("Image.new('L', (1, 20_000_000))", ("ok", "out_of_memory"), images=(0, 1)),
            Cell("Image.new('RGB', (0, 7))", images=(0, 0)),
            Cell(
                "modes = ('F', 'I', 'CMYK', 'YCbCr', 'HSV', 'LAB', 'PA', '1', 'La')\n"
                "[display(Image.new(mode, (3, 3))) for mode in modes];",
                ("ok", "raised"),
                images=(0, 4),
            ),
            Cell("for n in range(3000): display(Image.new('L', (2, 2), n % 256))", images=(4, 4), notes="not shown"),
        ),
    ),
    Attack(
        "many_files",
        "save more image files than anyone can look through",
        (
            Cell(
                PIECES
                + """
whole = png(1, 1, zlib.compress(b'\\0\\xff'))
try:
    for number in range(20_000): save(f'{number}.png', whole)
except OSError:
    pass
""",
                images=(0, 4),
            ),
        ),
        still_works=False,
    ),
    Attack(
        "images_that_are_programs",
        "subclasses of PIL's image whose size, mode and save are the attack's own",
        (
            Cell(
                """
from PIL import Image
class Evil(Image.Image):
    size = property(lambda self: (1, 1))
    width = height = 1
    mode = 'L'
    def save(self, file, *_, **__): file.write(b'\\x89PNG\\r\\n\\x1a\\n' + b'no image' * 100)
    def resize(self, *_): return self
    def convert(self, *_): return self
Evil()
""",
                ("ok", "killed", "raised"),
                images=(0, 0),
            ),
            Cell(
                """
import os, sys, time
from PIL import Image
class Slow(Image.Image):
    @property
    def size(self): raise SystemExit(0)
Slow()
""",
                ("ok", "raised", "killed"),
                images=(0, 0),
            ),
            Cell(
                """
from PIL import Image
class Claims:
    __class__ = Image.Image
    size, mode, width, height = (10 ** 9, 10 ** 9), 'L', 10 ** 9, 10 ** 9
    def resize(self, size): return self
    def save(self, file, kind): file.write(b'x' * (80 << 20))
Claims()
""",
                ("ok", "raised", "killed", "out_of_memory"),
                images=(0, 0),
            ),
        ),
    ),
    Attack(
        "endless_save",
        "an image that never ends being saved",
        (
            Cell(
                "from PIL import Image\nclass Slow(Image.Image):\n    size = (1, 1)\n    mode = 'L'\n"
                "    def save(self, *_, **__):\n        while True: pass\nSlow()",
                ("timed_out",),
            ),
        ),
        profile="short",
    ),
    Attack(
        "files_that_change",
        "swap a saved image for a link while it is read",
        (
            Cell(
                PIECES
                + """
import threading
whole = png(1, 1, zlib.compress(b'\\0\\xff'))
os.chdir('/tmp')
def swap():
    for n in range(3000):
        for target in (None, '/dev/zero', '/etc/passwd', host['files'][0] if host['files'] else '/'):
            try:
                os.unlink('s.png')
            except OSError:
                pass
            if target: os.symlink(target, 's.png')
            else: save('s.png', whole)
threading.Thread(target=swap, daemon=True).start()
time.sleep(0.05)
""",
                images=(0, 1),
                pause_s=0.5,
            ),
            Cell("2", images=(0, 4), value="2"),
        ),
    ),
]
