# -*- coding: utf-8 -*-
text = "ü€😀"; print(text, len(text))
exec(compile("\n\n1/0", "<made>", "exec"))
