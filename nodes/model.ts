/** The model config node: a provider, a model name, a key. The SDK behind it is loaded when the first agent asks. */
import { ModelError } from "../engine/errors.ts";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../engine/clock.ts";
import { failover, type Candidate } from "../engine/failover.ts";
import { capTokens, type Meter } from "../engine/models/cap.ts";
import { chargeModel } from "../engine/models/charge.ts";
import { countModel } from "../engine/models/count.ts";
import type { MediaModel } from "../engine/models/media.ts";
import type { Effort, ModelSettings } from "../engine/models/model.ts";
import type { Price } from "../engine/models/prices.ts";
import { gatewayNode, type ModelNode } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { metrics } from "./shared/metrics.ts";
import { asChain, board, chainNodes, fallbacksOf, faultyModel, keysOf, standingId } from "./shared/models.ts";
import { ownPrices } from "./shared/prices.ts";
import type { Red, Saved } from "./shared/red.ts";
import { learnSecrets } from "./shared/secrets.ts";
import { versioned } from "./shared/versioned.ts";

interface Fields {
  provider?: string; model?: string; baseUrl?: string; contextTokens?: number | string; api?: string; effort?: string;
  inputPrice?: number | string; outputPrice?: number | string; cachedPrice?: number | string;
}
type Config = Saved<Fields & { gateway: string; fallbacks?: string[] }>;

/** `Name: value` lines. */
export function headersOf(lines: string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of (lines ?? "").split(/\r?\n/)) {
    const at = line.indexOf(":");
    if (at > 0) headers[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return headers;
}

/** Names of headers are no secret. */
export function modelSecrets({ key, moreKeys, headers }: Record<string, string | undefined>): (string | undefined)[] {
  return [key, ...(moreKeys ?? "").split(/\r?\n/), ...Object.values(headersOf(headers))];
}

/** What the wire needs, from the form's fields; a provider left empty is the practice model. */
export function modelSettings(config: Fields, credentials: Record<string, string | undefined>): ModelSettings {
  const headers = headersOf(credentials.headers);
  const contextTokens = Number(config.contextTokens);
  const price = priceOf(config);
  return {
    provider: config.provider || "practice", model: config.model ?? "",
    ...(credentials.key ? { key: credentials.key } : {}),
    ...(config.baseUrl ? { baseUrl: config.baseUrl } : {}),
    ...(Object.keys(headers).length > 0 ? { headers } : {}),
    ...(contextTokens > 0 ? { contextTokens } : {}),
    ...(config.api ? { api: config.api as NonNullable<ModelSettings["api"]> } : {}),
    ...(config.effort ? { effort: config.effort as Effort } : {}),
    ...(price === undefined ? {} : { price }),
  };
}

/** USD for a million tokens; both input and output must be given, or the table counts. */
function priceOf({ inputPrice, outputPrice, cachedPrice }: Fields): Price | undefined {
  const given = (value: number | string | undefined): number | undefined => (value === undefined || value === "" || !(Number(value) >= 0) ? undefined : Number(value));
  const [input, output, cachedInput] = [given(inputPrice), given(outputPrice), given(cachedPrice)];
  return input === undefined || output === undefined ? undefined : { input, output, ...(cachedInput === undefined ? {} : { cachedInput }) };
}

/** For a key that somebody else pays (the demo's): all models of this process together use no more than this. */
const cap = Number(process.env.CLAWFLOW_TOKEN_CAP);
const meter: Meter | undefined = cap > 0 ? { used: 0, max: cap } : undefined;

export default function register(red: Red): void {
  const host = hostOf(red);
  function makeModel(this: { -readonly [Field in keyof ModelNode]: ModelNode[Field] }, config: Config): void {
    red.nodes.createNode(this, config);
    const credentials = this.credentials ?? {};
    learnSecrets(modelSecrets(credentials));
    const keys = keysOf(red, this, credentials);
    learnSecrets(keys);
    const settings = keys.map((key) => modelSettings(config, { ...credentials, key }));
    board.keep(`${this.id}/`, settings.map((one) => standingId(this.id, one)));
    this.on("close", (removed: boolean, done: () => void) => { if (removed) board.keep(`${this.id}/`, []); done(); });
    /** Pictures that came with a message are in the gateway's spool. */
    const readFile = async (media: string) => {
      const file = await gatewayNode(host, config.gateway).handle.gateway?.spool.open(media);
      if (file === undefined) throw new ModelError("MODEL_001", {}, "Expected the picture to be in the gateway's media folder, but it is not kept any more.");
      return { bytes: await buffer(file.stream()), mime: file.mime };
    };
    const open = async (own: ModelSettings, index: number): Promise<Candidate> => {
      const [models, fetch] = await Promise.all([import("../engine/models/index.ts"), host.fetchFor(undefined)]);
      const name = settings.length === 1 ? this.label : host.say("keyOf", { model: this.label, number: index + 1 });
      const made = chargeModel(await models.openModel(own, fetch, { readFile, prices: await ownPrices(red) }).catch((thrown: unknown) => faultyModel(this.label, own, thrown)));
      const model = countModel(meter === undefined || made.provider === "practice" ? made : capTokens(made, meter), metrics.count);
      return { id: standingId(this.id, own), group: this.id, name, model };
    };
    let opened: Promise<Candidate[]> | undefined;
    this.label = config.name || config.model || config.provider || "practice";
    this.fallbacks = fallbacksOf(config.fallbacks);
    this.candidates = () => {
      opened ??= Promise.all(settings.map(open));
      opened.catch(() => { opened = undefined; });
      return opened;
    };
    this.check = () => { chainNodes(host, this.id, true); };
    this.model = async (each = (model) => model) => {
      const candidates = (await Promise.all(chainNodes(host, this.id).map((node) => node.candidates()))).flat();
      return failover(asChain(candidates.map((one) => ({ ...one, model: each(one.model) }))), { board, clock: systemClock, random: Math.random, count: metrics.count });
    };
    let media: Promise<MediaModel> | undefined;
    this.media = () => {
      media ??= Promise.all([import("../engine/models/media.ts"), host.fetchFor(undefined), ownPrices(red)]).then(([{ openMedia }, fetch, prices]) => openMedia(settings[0] ?? modelSettings(config, credentials), fetch, { prices }));
      media.catch(() => { media = undefined; });
      return media;
    };
  }
  red.nodes.registerType("clawflow-model", versioned(red, "clawflow-model", makeModel), { credentials: { key: { type: "password" }, moreKeys: { type: "password" }, headers: { type: "password" } } });
}
