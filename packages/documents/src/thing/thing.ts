import { type Description, describedOperations } from '../model/description.ts'
import type { Operation } from '../model/operation.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { Affordances } from './affordances.ts'
import { BINDING_PREFIXES, TD_CONTEXT } from './vocabulary.ts'

/** Further members of a Thing Description. */
export interface ThingMembers {
  readonly title: string
  readonly links: readonly JsonSchema[]
}

/** Makes the Thing Description of a whole app, a path at a time. */
export const thingDocument = function* (description: Description, links: readonly JsonSchema[]): Generator<void, JsonSchema> {
  const affordances = new Affordances(description)
  const operations: Operation[] = []
  for (const operation of describedOperations(description, affordances.omissions)) {
    operations.push(operation)
    yield
  }
  yield* addPaths(operations, affordances)
  return thingOf(description, affordances, { title: description.info.title, links })
}

/** The Thing Description of these operations alone. */
export const instanceDocument = (description: Description, operations: readonly Operation[], members: ThingMembers): JsonSchema => {
  const affordances = new Affordances(description)
  for (const _ of addPaths(operations, affordances));
  return thingOf(description, affordances, members)
}

const addPaths = function* (operations: readonly Operation[], affordances: Affordances): Generator<void> {
  const paths = new Map<string, Operation[]>()
  for (const operation of operations) {
    const known = paths.get(operation.template.text)
    if (known === undefined) paths.set(operation.template.text, [operation])
    else known.push(operation)
  }
  for (const path of paths.values()) {
    affordances.add(path)
    yield
  }
}

const thingOf = ({ info }: Description, affordances: Affordances, { title, links }: ThingMembers): JsonSchema => {
  const { properties, actions, events, security, omissions } = affordances
  return {
    '@context': [TD_CONTEXT, BINDING_PREFIXES],
    '@type': 'Thing',
    title,
    ...(info.description === undefined ? undefined : { description: info.description }),
    version: { instance: info.version },
    securityDefinitions: security.definitions,
    security: security.initial,
    ...(Object.keys(properties).length > 0 ? { properties } : undefined),
    ...(Object.keys(actions).length > 0 ? { actions } : undefined),
    ...(Object.keys(events).length > 0 ? { events } : undefined),
    ...(links.length > 0 ? { links } : undefined),
    ...omissions.member()
  }
}
