# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages for people and auditors: the monthly report and the runbook."""
