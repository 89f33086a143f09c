import { Tabs } from "radix-ui";
import { useState } from "react";

import { Header } from "../app/Header";
import { FileList } from "./FileList";
import { StoreList } from "./StoreList";
import { StoreView } from "./StoreView";

/** Vector stores and files, or one of the stores. */
export function FilesPage({ storeId }: { storeId: string | null }) {
  const [tab, setTab] = useState("stores");
  if (storeId) return <StoreView key={storeId} storeId={storeId} />;
  return (
    <>
      <Header title={<h1>Files and stores</h1>} />
      <div className="page">
        <Tabs.Root value={tab} onValueChange={setTab}>
          <Tabs.List className="tab-list" aria-label="Files and stores">
            <Tabs.Trigger value="stores">Vector stores</Tabs.Trigger>
            <Tabs.Trigger value="files">Files</Tabs.Trigger>
          </Tabs.List>
          <Tabs.Content value="stores">
            <StoreList />
          </Tabs.Content>
          <Tabs.Content value="files">
            <FileList />
          </Tabs.Content>
        </Tabs.Root>
      </div>
    </>
  );
}
