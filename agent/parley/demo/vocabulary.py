"""Words that people say in the demo, by language; numerals where there is no list."""

from __future__ import annotations

_LISTS = {
    "en": "morning window garden river market number coffee station letter summer doctor yellow"
    " picture forest island music bottle kitchen mountain paper butter winter question ticket"
    " harbour pencil village button dinner feather castle meadow",
    "fr": "bonjour maison voiture fenêtre musique poisson chemin couleur château demain fromage"
    " cuisine bateau lumière oiseau montagne parole histoire papier soleil jardin pomme"
    " tableau rivière semaine cheval chanson bouteille question janvier village marché",
    "de": "morgen fenster garten wasser zeitung bruder sommer katze brücke himmel straße kaffee"
    " tasche blume schule vogel teller insel winter flasche lampe nummer bahnhof woche wolke"
    " farbe messer kuchen schatten zucker freitag stimme",
    "es": "mañana ventana jardín noche música puerta camino verano amigo ciudad pueblo caballo"
    " montaña lluvia mercado escuela papel zapato naranja semana playa cuchara tiempo estrella"
    " viento cocina trabajo palabra número hermano tarde bosque",
    "it": "mattina finestra giardino strada musica libro cavallo montagna pioggia mercato scuola"
    " zucchero formaggio estate amico luna parola treno fratello cucina bicchiere domani cielo"
    " isola vento nuvola sapone lavoro chitarra ponte gennaio storia",
    "pt": "manhã janela jardim cavalo música livro caminho verão amigo cidade montanha chuva"
    " mercado escola papel sapato laranja semana praia colher estrela vento cozinha trabalho"
    " palavra número irmão tarde floresta queijo domingo garrafa",
    "ja": "さくら みなと やさい ことば でんわ くるま えいが おちゃ にわとり たまご ともだち"
    " ひこうき あさひ かいもの てがみ とけい なつやすみ ねずみ はなび ふゆ ほたる まつり"
    " みずうみ むかし めがね もみじ ゆうがた よる りんご れきし わたし せんせい",
}

_NUMERALS = (*range(1, 21), *range(30, 100, 10), 100, 1000, 24, 35, 68)


def words_of(language: str) -> tuple[str, ...]:
    """At least 24 different words of a language, as the synthesiser reads them: numerals where no list is
    kept.

    `language`: a BCP-47 tag, of which the first part counts.
    """
    listed = _LISTS.get(language.split("-")[0].lower())
    return tuple(listed.split()) if listed else tuple(str(number) for number in _NUMERALS)
