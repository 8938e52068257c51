import { createMemoryStore } from "../../engine/store/memory.ts";
import { storeContract } from "../contracts/store.ts";

storeContract("the memory store", async () => createMemoryStore());
