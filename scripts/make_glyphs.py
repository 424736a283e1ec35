"""Render the shipped glyphs from Debian's font packages: python scripts/make_glyphs.py

Needs the packages that FACES names (apt install ...). Writes data/embedded/glyphs.npz and the card beside it. Characters:
of those that GB 2312, Big5 and JIS X 0208 share at their first level and that every face has, the five hundred with the
least ink in the content font; fifteen of them are chosen for being well known, the others drawn with seed 0.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from firsthand.data.readers.glyphs import characters_of, common_characters, render_font

ROOT = Path("/usr/share/fonts")
TARGET = Path(__file__).parents[1] / "src" / "firsthand" / "data" / "embedded"
KNOWN = "十口中小一永水心力天地春花人山"
CHARACTERS, LIGHT, TEST = 160, 500, 40

#: file, package (after "fonts-"), name, maker, licence, look; the first is the content font.
TRAIN = [
    ("truetype/wqy/wqy-zenhei.ttc", "wqy-zenhei", "WenQuanYi Zen Hei", "WenQuanYi", "GPL-2 with font exception", "sans"),
    ("truetype/wqy/wqy-microhei.ttc", "wqy-microhei", "WenQuanYi Micro Hei", "Google, WenQuanYi", "Apache-2.0", "sans"),
    ("truetype/arphic/uming.ttc", "arphic-uming", "AR PL UMing", "Arphic", "Arphic Public License", "Ming"),
    ("truetype/arphic-bsmi00lp/bsmi00lp.ttf", "arphic-bsmi00lp", "AR PL Mingti2L Big5", "Arphic", "Arphic Public License", "Ming"),
    ("truetype/arphic-gbsn00lp/gbsn00lp.ttf", "arphic-gbsn00lp", "AR PL SungtiL GB", "Arphic", "Arphic Public License", "Song"),
    ("truetype/arphic/ukai.ttc", "arphic-ukai", "AR PL UKai", "Arphic", "Arphic Public License", "Kai"),
    ("truetype/arphic-bkai00mp/bkai00mp.ttf", "arphic-bkai00mp", "AR PL KaitiM Big5", "Arphic", "Arphic Public License", "Kai"),
    ("truetype/arphic-gkai00mp/gkai00mp.ttf", "arphic-gkai00mp", "AR PL KaitiM GB", "Arphic", "Arphic Public License", "Kai"),
    ("opentype/ipafont-gothic/ipag.ttf", "ipafont-gothic", "IPA Gothic", "IPA", "IPA Font License 1.0", "gothic"),
    ("opentype/ipafont-mincho/ipam.ttf", "ipafont-mincho", "IPA Mincho", "IPA", "IPA Font License 1.0", "mincho"),
    ("truetype/vlgothic/VL-Gothic-Regular.ttf", "vlgothic", "VL Gothic", "Daisuke Suzuki, M+", "BSD-3-Clause and M+", "gothic"),
    ("truetype/mona/mona.ttf", "mona", "Mona", "Mona Font project", "public domain", "screen gothic"),
    ("truetype/kouzan-mouhitsu/kouzan-mouhitsu.ttf", "kouzan-mouhitsu", "Kouzan Kaisho", "Aoyagi Kouzan", "public domain", "brush"),
    ("truetype/kouzan-mouhitsu/kouzan-mouhitsu-gyosho.ttf", "kouzan-mouhitsu", "Kouzan Gyosho", "Aoyagi Kouzan", "public domain", "running script"),
    ("truetype/kouzan-mouhitsu/KouzanBrushFontSousyo.ttf", "kouzan-mouhitsu", "Kouzan Sousyo", "Aoyagi Kouzan", "public domain", "cursive script"),
    ("truetype/aoyagi-kouzan-t/AoyagiKouzanT.ttf", "aoyagi-kouzan-t", "Aoyagi Kouzan T", "Aoyagi Kouzan", "public domain", "brush"),
    ("truetype/seto/setofont.ttf", "seto", "Seto", "Nozomi Seto", "OFL-1.1", "handwriting"),
    ("truetype/kiloji/kiloji.ttf", "kiloji", "Kiloji", "Kilonono", "BSD-3-Clause", "handwriting"),
    ("truetype/kiloji/kiloji_b.ttf", "kiloji", "Kiloji Bold", "Kilonono", "BSD-3-Clause", "handwriting"),
    ("truetype/yozvox-yozfont/YOzREF.ttf", "yozvox-yozfont-edu", "YOz REF", "Y.Oz Vox", "OFL-1.1", "pen"),
    ("truetype/yusei-magic/YuseiMagic-Regular.ttf", "yusei-magic", "Yusei Magic", "Tanukizamurai", "OFL-1.1", "marker"),
    ("truetype/reggae/ReggaeOne-Regular.ttf", "reggae", "Reggae One", "Fontworks", "OFL-1.1", "display"),
    ("truetype/dejima-mincho/dejima-mincho-r227.ttf", "dejima-mincho", "Dejima Mincho", "Yoshiki Hayashi", "MIT", "antique mincho"),
    ("truetype/motoya-l-maruberi/MTLmr3m.ttf", "motoya-l-maruberi", "Motoya Maruberi", "Motoya", "Apache-2.0", "rounded"),
    ("truetype/motoya-l-cedar/MTLc3m.ttf", "motoya-l-cedar", "Motoya Cedar", "Motoya", "Apache-2.0", "gothic"),
    ("truetype/sawarabi-gothic/sawarabi-gothic-medium.ttf", "sawarabi-gothic", "Sawarabi Gothic", "mshio", "CC BY 3.0", "gothic"),
    ("truetype/sawarabi-mincho/sawarabi-mincho-medium.ttf", "sawarabi-mincho", "Sawarabi Mincho", "mshio", "CC BY 3.0", "mincho"),
    ("truetype/konatu/Konatu.ttf", "konatu", "Konatu", "Mitiya Masuda", "MIT", "rounded"),
    ("truetype/horai-umefont/ume-tgo4.ttf", "horai-umefont", "Ume Gothic", "Wataru Horai", "free, unlimited permission", "gothic"),
    ("truetype/horai-umefont/ume-tmo3.ttf", "horai-umefont", "Ume Mincho", "Wataru Horai", "free, unlimited permission", "mincho"),
]  # fmt: skip
UNSEEN = [
    ("truetype/aoyagi-soseki/aoyagi-soseki.ttf", "aoyagi-soseki", "Aoyagi Soseki", "Aoyagi Kouzan", "public domain", "brush"),
    ("truetype/cwtex/cwkai.ttf", "cwtex-kai", "cwTeX Kai", "Tsong-Min Wu", "GPL-2 with font exception", "Kai"),
    ("opentype/mplus/Mplus1-Black.otf", "mplus", "M+ 1 Black", "M+ Fonts project", "OFL-1.1", "bold"),
    ("opentype/mplus/Mplus1-Thin.otf", "mplus", "M+ 1 Thin", "M+ Fonts project", "OFL-1.1", "thin"),
    ("truetype/smiley-sans/SmileySans-Oblique.ttf", "smiley-sans", "Smiley Sans", "atelierAnchor", "OFL-1.1", "oblique"),
    ("truetype/klee/KleeOne-Regular.ttf", "klee", "Klee One", "Fontworks", "OFL-1.1", "pencil"),
]  # fmt: skip
REFUSED = [
    ("", "komatuna", "Komatuna", "Mitiya Masuda, Hirosi Utumi", "CC BY-SA 3.0", "share-alike; ours is not"),
    ("", "oradano-mincho-gsrr", "Oradano Mincho", "Oradano", "GPL-2", "no font exception"),
    ("", "cwtex-ming", "cwTeX Ming, FangSong, Hei, Yen", "Tsong-Min Wu", "GPL-2 with font exception", "of the family of a font kept apart"),
]  # fmt: skip


def main() -> None:
    chosen = [*TRAIN, *UNSEEN]
    shared = set(common_characters())
    for file, *_ in chosen:
        shared &= characters_of(ROOT / file)
    pool = "".join(sorted(shared))
    drawn, present = render_font(ROOT / TRAIN[0][0], pool)
    order = [pool[n] for n in np.argsort(drawn.sum((1, 2)), kind="stable") if present[n]][:LIGHT]
    rest = sorted(set(order) - set(KNOWN))
    while True:  # until every face draws every character
        rng = np.random.default_rng(0)
        rng.shuffle(rest)
        train = KNOWN + "".join(rest[: CHARACTERS - TEST - len(KNOWN)])
        characters = train + "".join(rest[CHARACTERS - TEST - len(KNOWN) : CHARACTERS - len(KNOWN)])
        pictures = [render_font(ROOT / file, characters) for file, *_ in chosen]
        there = np.stack([present for _, present in pictures]).all(0)
        if there.all():
            break
        faint = {c for c, ok in zip(characters, there, strict=True) if not ok}
        print("too faint somewhere:", "".join(sorted(faint)))
        rest = sorted(set(rest) - faint)
    ink = np.stack([ink for ink, _ in pictures])
    np.savez_compressed(TARGET / "glyphs.npz", ink=ink, characters=np.array([ord(c) for c in characters], np.int32))
    names = ("file", "package", "name", "maker", "licence", "look")
    card = [
        {**dict(zip(names, face, strict=True)), "side": side, "sha256": _digest(face[0])}
        for side, group in (("train", TRAIN), ("unseen", UNSEEN), ("refused", REFUSED))
        for face in group
    ]
    text = json.dumps(
        {"made by": "scripts/make_glyphs.py", "shape": ink.shape, "faces": card}, indent=1, ensure_ascii=False
    )
    (TARGET / "glyphs.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(pool)} characters in all faces; {ink.shape}, {(TARGET / 'glyphs.npz').stat().st_size / 1e6:.2f} MB")


def _digest(file: str) -> str:
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest() if file else ""


if __name__ == "__main__":
    main()
