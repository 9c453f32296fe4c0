// The cards of one collection: one for each item, in the order of the collection.

/** Keeps the cards of `list`: `create(id, card)` fills a new one and returns the function that shows a state. */
export const cardsOf = (list, template, create) => {
  const cards = new Map()
  const add = id => {
    const element = template.content.firstElementChild.cloneNode(true)
    element.querySelector('h3').textContent = id
    const card = { element, update: create(id, element) }
    cards.set(id, card)
    return card
  }
  return {
    show(items) {
      const ids = new Set(items.map(({ id }) => id))
      for (const [id, { element }] of cards) {
        if (ids.has(id)) continue
        element.remove()
        cards.delete(id)
      }
      items.forEach(({ id, state }, at) => {
        const card = cards.get(id) ?? add(id)
        if (list.children[at] !== card.element) list.insertBefore(card.element, list.children[at] ?? null)
        card.update(state)
      })
    }
  }
}
