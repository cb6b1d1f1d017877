"""What takes a finding back: tables of cues, in the notation of `phrase`, after the idea of NegEx.

Source of the idea: W. Chapman et al., "A simple algorithm for identifying negated findings and diseases in
discharge summaries", J Biomed Inform 34 (2001). The phrases are this project's own.
"""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, str]] = {
    "be": "is|are|was|were|be|been|being|has been|have been|appears?|remains?",
    "seen": (
        "seen|identified|present|noted|visualized|visualised|visible|evident|demonstrated|detected|appreciated|"
        "observed|found|apparent|suspected|suggested|shown|there|recognized|discerned|reproduced|"
        "confirmed"
    ),
    "surely": (
        "definitely|clearly|definitively|currently|now|otherwise|convincingly|confidently|readily|grossly|well"
    ),
    "fully": "completely|entirely|definitely|totally|now|since|essentially|almost|subsequently",
    "great": "significant|interval|definite|appreciable|substantial|gross|other|further|major",
    "change": "changes?|increase in size|decrease|progression|worsening|improvement|difference|interval",
    "growing": "effusions?|pneumothora(x|ces)|nodules?|mass|consolidations?|atelectasis|infiltrates?",
    "hardly": "cannot|can not|could not|not|difficult to|hard to|impossible to|may not",
    "nearly": "near|nearly|almost|partial|partially|incomplete|incompletely|not",
    "earlier": "prior|previous|earlier|comparison|old|last",
    "view": (
        "(lateral|frontal|posteroanterior|anteroposterior|pa|ap) "
        "(views?|films?|projections?|images?|radiographs?|exam|examination|xxxx)"
    ),
    "normal": "normal|unremarkable|within normal limits|within limits of normal",
    "abnormal": "increased|prominent|enlarged|elevated|thickened|flattened|blunted|remarkable|coarsened",
}
"""Named alternatives of the cues."""

NOT_A_NEGATION: Final[tuple[str, ...]] = (
    # Nothing has changed: the finding is still there.
    (
        "(no|not|without|nor) [any] (<great> )*<change>( (in|of|from|since|to)( the)?"
        "( (size|extent|appearance|number|position) of( the)?)?)?"
    ),
    "not (\\w+ly )?(changed|increased in size|progressed|improved|decreased|worsened|resolved|cleared)",
    # Seen badly, on one view only, or for the first time, but there.
    "not [as|quite|so] (well|fully|completely|entirely|optimally|adequately) [as|<seen>]",
    "not [<surely>] <seen> (previously|before|(on|in|at)( the| any| any of the)? <earlier>)",
    "not previously \\w+",
    "not [be] (<surely> )*<seen> (on|in|at) [the] <view>",
    "no longer enlarging",
    "(no|without) ((any|significant|interval|definite) )*increase (in|of)(?=( the)?( \\w+)? <growing>)",
    "(ensure|document|confirm|assure) [complete|its] (resolution|clearing) [of]",
    "<nearly> [complete|completely|fully] (resolution|clearing|resolved|cleared) [of]",
    # Possible.
    "<hardly> [be] [<fully>] (excluded?|ruled out|rule out)",
    "not only",
    "not (clear|certain|sure|known) (whether|if)",
    # A property is absent, not the finding.
    "(no|without) [<great>|any|internal] (calcifications?|cavitation|growth) (in|of|within)",
    "not necessarily",
)
"""Look like a negation and are none; taken out before the others are looked for."""

BEFORE: Final[tuple[str, ...]] = (
    "no",
    "without",
    "not",
    "nor",
    "neither",
    "never",
    "non",
    "cannot (see|identify|detect|appreciate)",
    "(absence|lack) of",
    "(absent|lacks|lacking)",
    "(clear|free|cleared|devoid) (of|from)",
    "(negative|neg) for",
    "nothing (to suggest|to indicate|suggesting)",
    "ø",
    "r o",
    "(history|hx) of",
    "to rule out",
    "(rather than|instead of|as opposed to)",
    "rules? out",
    "(mimic|mimics|mimicking|simulate|simulates|simulating)",
    "exclud(e|es|ing)",
    "unlikely [to represent|to be|to reflect]",
    "(resolution|clearing|clearance|removal|disappearance) of",
    "(resolved|removed|former)",
    "(could|may|might|can|potentially) obscure",
    "obscuring",
    "(evaluate|evaluation|assess|assessment|looking) for",
    "insufficient evidence (of|for)",
    "low (probability|suspicion|likelihood) (of|for)",
)
"""Cues that negate what follows, to the end of the clause."""

AFTER: Final[tuple[str, ...]] = (
    "[<be>|can|could] not [be] (<surely> )*<seen>",
    "[<be>] (no longer|never) (<surely> )*\\w+",
    "(does|do|did) not (appear|seem|persist|exist) [to be] [<seen>]",
    "[<be>] absent",
    "[<be>] (<fully> )*resolved",
    (
        "<be> (<fully> )*"
        "(cleared|disappeared|removed|excluded|ruled out|withdrawn|drained|explanted|evacuated|taken out)"
    ),
    # Explained away.
    "(is|are|was|were|represents|represented) [<surely>] [a|the] [overlying|prominent] nipples? [shadows?]",
    "(is|are|was|were) [likely|probably|an|likely an|probably an] (artifactual|artifacts?)",
    "(has|have) (<fully> )*(cleared|disappeared|resolved|gone)",
    "<be> (<fully> )*gone",
    "cleared(?! (of|from))",
    "(has|have) not (<surely> )*(developed|appeared|recurred|occurred|formed)",
    "neither (is|are|was|were) (<surely> )*<seen>",
    "no(?!.)",
    "[<be>] [considered|felt|thought|thought to be|felt to be] [highly|very] unlikely",
    "[<be>] [considered|felt|thought|thought to be|felt to be] (less|not) likely(?= (than|given|in)|$| \\|)",
    (
        "<be> [grossly|entirely|otherwise|all] (<normal>|not (\\w+ly )?<abnormal>)"
        "(?! (position|location|place|placement|course))"
    ),
    "(none|nil|negative)(?! for)",
    "[<be>] not [a|of] (concern|considered|feature)",
)
"""Cues that negate what stands before them, back to the start of the clause."""

ANSWERS: Final[tuple[str, ...]] = ("(no|none|nil|negative|absent|(none|not) <seen>)",)
"""Sentences that answer the one before, each a cue of `AFTER`."""

BOUNDARIES: Final[tuple[str, ...]] = (
    "(but|however|although|though|yet|whereas|while|which|where|otherwise|also|additionally|besides)",
    "except [for]",
    "(aside from|apart from|other than)",
    "(with|despite|in spite of|secondary to|because of|due to)",
    "there (is|are|has been|have been|was|were|remains?|appears?)",
    "(and|or) (there|the|a|an|has|have|is|are|shows?|demonstrates?)",
    "status post",
    "(following|after)",
    "(only|just)",
    r"\|",
)
"""Where a clause ends and the reach of a cue with it."""

OPENERS: Final[tuple[str, ...]] = (
    "(stable|unchanged|chronic|persistent|again|old|prior|new)",
    "(mild|minimal|moderate)(ly)?",
    "(increased|decreased|worsening|improved|improving)",
    "(small|tiny|scattered|multiple|bibasilar)",
    "(possible|probable)",
)
"""Words that start a positive statement after the end of a negated one ("no pneumothorax small effusion"):
they end a cue's reach unless they stand first in it or after one of `LINKS`."""

PLURAL_VERBS: Final[tuple[str, ...]] = ("(are|were|have|do|appear|remain)",)
"""A cue of `AFTER` that starts so speaks of a whole list: the boundary "and the" lies inside that list."""

VERBS: Final[tuple[str, ...]] = ("(is|are|was|were|has|have|shows?|demonstrates?|appears?|remains?)",)
"""Where the reach of a cue of `AFTER` ends: what stands before another verb belongs to that verb."""

LINKS: Final[frozenset[str]] = frozenset({"or", "and", "nor", "any", "of", "evidence", "focal", "definite"})
"""Words that continue a negated list."""
