from smp_core.plugin import ArchitectureSpec, ConformanceSpec, EncoderSpec, NeckSpec, hookimpl


def encoder(name, kind, out_channels, reductions, **more):
    return EncoderSpec(
        **{
            "name": name,
            "target": f"acme_right.encoders:{kind}",
            "out_channels": out_channels,
            "reductions": reductions,
            "license": "MIT",
            **more,
        }
    )


def transformer(name, **options):
    patch = options.get("patch", 16)
    more = {"tokens": True, "max_depth": 4, "options": options}
    return encoder(name, "PlainTransformer", (24,) * 4, (patch,) * 4, **more)


@hookimpl
def smp_encoders():
    quarters = (3, 8, 12, 16)
    return [
        encoder("patches14", "Patches14", (3, 12, 16, 20), (1, 7, 14, 28), min_depth=3),
        transformer("vit16"),
        transformer("vit14_registers", patch=14, prefix=5),
        transformer("vit8_without_prefix", patch=8, prefix=0),
        encoder("functional", "Functional", (3, 8, 8, 8, 8), (1, 2, 4, 8, 16), max_depth=4),
        encoder("squeezenet", "OfTorchvision", (3, 64, 128, 256), (1, 2, 4, 8), max_depth=3, dilation=()),
        encoder("of_timm", "OfTimm", (3, 24, 32, 48, 64), (1, 4, 8, 16, 32), min_depth=2),
        encoder("channels_last", "ChannelsLast", (3, 12, 16, 20), (1, 4, 8, 16), min_depth=2, max_depth=4),
        encoder("full_resolution", "FullResolution", (8, 12, 16, 20), (1, 2, 4, 8), max_depth=3),
        encoder("upstream", "OfUpstream", (3, 8, 12, 16, 20), (1, 2, 4, 8, 16), max_depth=4),
        encoder("blurred", "Blurred", quarters, (1, 2, 4, 8), max_depth=3),
        encoder("tied", "TiedWeights", (3, 8, 8, 8), (1, 2, 4, 8), max_depth=3),
    ]


@hookimpl
def smp_architectures():
    return [
        ArchitectureSpec(
            name="merging", class_name="Merging", target="acme_right.models:Plain", options={"decoder_width": 16}
        )
    ]


@hookimpl
def smp_necks():
    return [
        NeckSpec(
            name="lateral", target="acme_right.models:Lateral", reductions=(4, 8, 16, 32), tokens=True, pyramid=True
        )
    ]


@hookimpl
def smp_conformance():
    no_stages = {"stages_name_every_parameter_once": "written without stages"}
    return ConformanceSpec(
        expected_failures={
            "functional": {**no_stages, "first_convolution_may_be_replaced": "no layer sees the image"},
            **dict.fromkeys(("of_timm", "blurred", "tied"), no_stages),
            "upstream": {"builds_on_meta_device": "the upstream model reads its rates off a tensor"},
        }
    )
