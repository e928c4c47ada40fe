"""The block of a hub repository; `pip install adhere` brings what it does."""

from adhere.integrations.modular import NurseBlock as NurseBlock
