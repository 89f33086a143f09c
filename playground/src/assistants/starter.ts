/** Assistants that are offered where there is none yet. */
import type { AssistantCreateParams } from "openai/resources/beta/assistants";

export const MATH_TUTOR: Omit<AssistantCreateParams, "model"> = {
  name: "Math Tutor",
  description: "Helps with mathematics, step by step.",
  instructions:
    "You are a personal math tutor. Explain each step in simple words and short sentences, " +
    "write formulas in LaTeX between dollars ($$...$$), and end with the result.",
  tools: [],
};

export const FIRST_QUESTION = "I need to solve the equation 3x + 11 = 14. Can you help me?";

/** What models are called where a server answers to any name. */
export const ANY_MODEL = "gpt-4o";

/** The model to begin with: the first that the server has which is for conversation. */
export function firstModel(models: readonly string[] | undefined): string {
  const talking = (models ?? []).filter((model) => !/embed|whisper|tts|dall-e|moderation/i.test(model));
  return talking.find((model) => model === ANY_MODEL) ?? talking[0] ?? ANY_MODEL;
}
