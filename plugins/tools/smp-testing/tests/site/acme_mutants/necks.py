"""Each is right but for one thing."""

from acme_wrong_necks.necks import Right


class KeepsLevels(Right):
    def forward(self, features):
        self.levels_of_last = super().forward(features)
        return [*self.levels_of_last]


class MixesBatch(Right):
    def forward(self, features):
        return [level + 0.1 * level.mean(dim=0, keepdim=True) for level in super().forward(features)]


class RoundsToFloat32(Right):
    def forward(self, features):
        return super().forward([item.float().to(item.dtype) for item in features])
