"""What the gguf Python package (Debian: python3-gguf) makes of random quantised blocks, as text:
a line a block, `type bytes-in-hex values-in-hex`, each value the bits of a float, big-endian.
   python3 quant_goldens.py >kernels/testdata/quant_goldens.txt
"""

import random

import gguf
import numpy

# type, bytes of a block, where its fp16 scales are
TYPES = [
    ("Q8_0", 34, [0]),
    ("Q4_0", 18, [0]),
    ("Q5_0", 22, [0]),
    ("Q4_K", 144, [0, 2]),
    ("Q5_K", 176, [0, 2]),
    ("Q6_K", 210, [208]),
]
# Scales: ordinary ones, a subnormal, the largest, a negative one, zero.
SCALES = [0x2A3C, 0x1FFF, 0x0123, 0x7BFF, 0xA951, 0x0000]

generator = random.Random(3)
for name, size, places in TYPES:
    for number in range(len(SCALES)):
        block = bytearray(generator.randbytes(size))
        for index, place in enumerate(places):
            scale = SCALES[(number + index) % len(SCALES)]
            block[place : place + 2] = scale.to_bytes(2, "little")
        values = gguf.quants.dequantize(
            numpy.frombuffer(bytes(block), dtype=numpy.uint8), getattr(gguf.GGMLQuantizationType, name)
        )
        bits = values.astype(numpy.float32).view(numpy.uint32)
        print(name, block.hex(), "".join(f"{int(b):08x}" for b in bits))
