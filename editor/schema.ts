/** Parameters of a tool as rows, and as JSON Schema: pure, in both directions. */

export const PARAM_TYPES = ["string", "number", "integer", "boolean", "enum", "array", "object"] as const;
export type ParamType = (typeof PARAM_TYPES)[number];
/** `values`: what an enum may be. `rest`: keywords the rows do not show (minimum, items, …); they are kept. */
export interface Param {
  readonly name: string;
  readonly type: ParamType;
  readonly description: string;
  readonly required: boolean;
  readonly values?: readonly string[];
  readonly rest?: Readonly<Record<string, unknown>>;
}
type Schema = Record<string, unknown>;
const isObject = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

export function toSchema(params: readonly Param[]): Schema {
  const properties: Schema = {};
  for (const { name, type, description, values, rest } of params) {
    properties[name] = {
      type: type === "enum" ? "string" : type,
      ...description === "" ? {} : { description },
      ...type === "enum" ? { enum: [...values ?? []] } : {},
      ...rest,
    };
  }
  const required = params.filter((param) => param.required).map((param) => param.name);
  return { type: "object", properties, ...required.length > 0 ? { required } : {}, additionalProperties: false };
}

/** `hidden`: names of what the rows do not show but keep; `lost`: what they cannot keep, so that the schema must stay text. */
export interface Rows { readonly params: Param[]; readonly hidden: string[]; readonly lost: string[] }

export function fromSchema(schema: unknown): Rows {
  if (!isObject(schema)) return { params: [], hidden: [], lost: ["schema"] };
  const { type, properties = {}, required = [], additionalProperties, $schema: _dialect, ...others } = schema;
  const lost = Object.keys(others);
  if (type !== undefined && type !== "object") lost.push("type");
  if (additionalProperties !== undefined && additionalProperties !== false) lost.push("additionalProperties");
  if (!isObject(properties)) return { params: [], hidden: [], lost: [...lost, "properties"] };
  const names = new Set(Array.isArray(required) ? required : []);
  for (const name of names) if (typeof name !== "string" || !Object.hasOwn(properties, name)) lost.push(`required.${String(name)}`);
  const params: Param[] = [];
  const hidden: string[] = [];
  for (const [name, property] of Object.entries(properties)) {
    const param = isObject(property) ? paramOf(name, property, names.has(name)) : undefined;
    if (!param) {
      lost.push(name);
      continue;
    }
    if (param.rest) hidden.push(...Object.keys(param.rest).map((key) => `${name}.${key}`));
    params.push(param);
  }
  return { params, hidden, lost };
}

function paramOf(name: string, property: Schema, required: boolean): Param | undefined {
  const { type: stated, description = "", enum: values, ...rest } = property;
  if (typeof description !== "string") return undefined;
  const kept = Object.keys(rest).length > 0 ? { rest } : {};
  if (values !== undefined) {
    const plain = Array.isArray(values) && values.every((value) => typeof value === "string");
    if (!plain || (stated !== undefined && stated !== "string")) return undefined;
    return { name, type: "enum", description, required, values, ...kept };
  }
  const type = PARAM_TYPES.find((known) => known === stated && known !== "enum");
  return type ? { name, type, description, required, ...kept } : undefined;
}
