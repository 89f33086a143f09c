/** Assistants and models, as the server has them. */
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { AssistantCreateParams, AssistantUpdateParams } from "openai/resources/beta/assistants";

import { api } from "../api/client";
import { isMissing } from "../api/errors";
import { gather } from "../api/gather";
import type { Assistant } from "../api/types";
import { useDrafts } from "./drafts";
import { firstModel } from "./starter";

/** More than anybody makes by hand; a project with more finds the newest here. */
const MOST = 300;

export function useAssistants() {
  return useQuery({
    queryKey: ["assistants"],
    queryFn: () => gather<Assistant>(api().beta.assistants.list({ limit: 100, order: "desc" }), MOST),
  });
}

/** The assistant of this id, also where it is none of the newest; null where there is none. */
export function useAssistant(id: string) {
  const all = useAssistants();
  const listed = all.data?.find((assistant) => assistant.id === id);
  const alone = useQuery({
    queryKey: ["assistant", id],
    queryFn: () =>
      api()
        .beta.assistants.retrieve(id)
        .catch((error: unknown) => {
          if (isMissing(error)) return null;
          throw error;
        }),
    enabled: all.data !== undefined && !listed,
    staleTime: Infinity,
  });
  const { data, error, isPending, refetch } = all.data ? alone : { ...all, data: undefined };
  return listed ? { ...all, data: listed } : { data, error, isPending, refetch };
}

/** Names of the models that can be chosen, in alphabetical order. */
const modelsQuery = queryOptions({
  queryKey: ["models"],
  staleTime: 60_000,
  retry: 1, // they are only proposed: where the model's server is away, nobody waits for them
  queryFn: async () => {
    const models = await gather(api().models.list());
    return models.map(({ id }) => id).sort((a, b) => a.localeCompare(b));
  },
});

interface NewAssistant {
  id: null;
  params: Omit<AssistantCreateParams, "model"> & { model?: string };
}

export const useModels = () => useQuery(modelsQuery);

/** Create an assistant (with the first of the models if it names none), or change the one of this id. */
export function useSaveAssistant() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ id, params }: { id: string; params: AssistantUpdateParams } | NewAssistant) => {
      if (id !== null) return api().beta.assistants.update(id, params);
      const model = params.model || firstModel(await queries.ensureQueryData(modelsQuery).catch(() => undefined));
      return api().beta.assistants.create({ ...params, model });
    },
    onSuccess: (saved) => {
      queries.setQueryData<Assistant[]>(["assistants"], (known = []) =>
        known.some(({ id }) => id === saved.id)
          ? known.map((assistant) => (assistant.id === saved.id ? saved : assistant))
          : [saved, ...known],
      );
    },
  });
}

export function useDeleteAssistant() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api().beta.assistants.delete(id),
    onSuccess: (_, id) => {
      useDrafts.getState().forget(id);
      queries.setQueryData(["assistant", id], null);
      queries.setQueryData<Assistant[]>(["assistants"], (known = []) => known.filter((one) => one.id !== id));
    },
  });
}
