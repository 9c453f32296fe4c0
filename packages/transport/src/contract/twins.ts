import type { MethodTypes, ResourceContract, ResourceTypes } from './resources.ts'

/** The types of a twin; the type checker alone knows them. */
export interface TwinTypes {
  readonly params: unknown
  readonly paramsInput: unknown
  readonly reported: unknown
  readonly reportedInput: unknown
  readonly desired: unknown
  readonly desiredInput: unknown
}

/** A twin as GET of its own path answers it. */
export interface TwinState<Reported = unknown, Desired = unknown> {
  /** Counts the changes of the twin. */
  readonly version: number
  readonly reported: Reported
  readonly desired: Desired
  /** The members of `desired` that `reported` does not equal. */
  readonly delta: Desired
}

/** Whether a device is connected. */
export interface PresenceState {
  readonly connected: boolean
  /** Its connections: observations, and over MQTT connections with the broker. */
  readonly connections: number
  /** When it was heard last (RFC 3339), about a minute exact while it is connected; null where it never was. */
  readonly lastSeen: string | null
}

/**
 * A device twin: what a device reports, what it should be, and what it still has to do, each a resource of its own below the path of the twin. Itself
 * it is the resource of the whole twin: GET answers a `TwinState`, DELETE removes it.
 */
export interface TwinContract<Types extends TwinTypes = TwinTypes> extends ResourceContract<WholeTypes<Types>> {
  /** `/reported`: what the device says of itself; only the device changes it. */
  readonly reported: ResourceContract<PartTypes<Types, Types['reported'], Types['reportedInput']>>
  /** `/desired`: what the device should be. */
  readonly desired: ResourceContract<PartTypes<Types, Types['desired'], Types['desiredInput']>>
  /** `/delta`: what the device still has to do; `{}` when nothing. */
  readonly delta: ResourceContract<ReadTypes<Types, Types['desired']>>
  /** `/presence`: whether the device is connected, and when it was heard last. */
  readonly presence: ResourceContract<ReadTypes<Types, PresenceState>>
}

/** The types of a part that is read and changed. */
export interface PartTypes<Types extends TwinTypes, State, Input> extends ResourceTypes {
  readonly params: Types['params']
  readonly paramsInput: Types['paramsInput']
  readonly state: State
  readonly stateInput: Input
  readonly computed: unknown
  readonly methods: {
    readonly get: PartMethod<unknown, unknown, State>
    readonly put: PartMethod<State, Input, State>
    readonly patch: PartMethod<unknown, unknown, State>
    readonly ipatch: PartMethod<unknown, unknown, State>
  }
}

/** The types of a part that is read. */
export interface ReadTypes<Types extends TwinTypes, State> extends ResourceTypes {
  readonly params: Types['params']
  readonly paramsInput: Types['paramsInput']
  readonly state: State
  readonly stateInput: State
  readonly computed: unknown
  readonly methods: { readonly get: PartMethod<unknown, unknown, State> }
}

/** The types of the whole twin. */
export interface WholeTypes<Types extends TwinTypes> extends ResourceTypes {
  readonly params: Types['params']
  readonly paramsInput: Types['paramsInput']
  readonly state: TwinState<Types['reported'], Types['desired']>
  readonly stateInput: TwinState<Types['reported'], Types['desired']>
  readonly computed: unknown
  readonly methods: {
    readonly get: PartMethod<unknown, unknown, TwinState<Types['reported'], Types['desired']>>
    readonly delete: PartMethod<unknown, unknown, unknown>
  }
}

interface PartMethod<Input, InputInput, Answer> extends MethodTypes {
  readonly query: URLSearchParams
  readonly queryInput: Readonly<Record<string, string | readonly string[]>>
  readonly headers: unknown
  readonly headersInput: unknown
  readonly input: Input
  readonly inputInput: InputInput
  readonly answer: Answer
  readonly errors: never
}
