"""Self-labelling: the network learns the groups that clustering found, round by round.

`self_labelling` has the loop, `labels` chooses those to learn from, `training` makes the
student that learns them, `guard` undoes a round that made the groups worse, and `heads` has models
from features to groups.
"""

from tfl_helpers.selflabel.heads import classifier
from tfl_helpers.selflabel.labels import reliable
from tfl_helpers.selflabel.self_labelling import SelfLabelled, self_label
from tfl_helpers.selflabel.training import Round
