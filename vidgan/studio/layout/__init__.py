"""The pages of the studio: Gradio's controls and what they call, one module for each tab."""
