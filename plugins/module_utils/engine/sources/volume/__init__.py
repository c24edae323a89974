# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `volume`: a named volume of docker or podman."""
