"""Spanish names of well-known countries and capitals, and what is said with them."""

# Factbook name | Spanish name | Spanish name of the capital
TABLE = """
Argentina|Argentina|Buenos Aires
Bolivia|Bolivia|La Paz
Brazil|Brasil|Brasilia
Chile|Chile|Santiago
Colombia|Colombia|Bogotá
Ecuador|Ecuador|Quito
Guyana|Guyana|Georgetown
Paraguay|Paraguay|Asunción
Peru|Perú|Lima
Suriname|Surinam|Paramaribo
Uruguay|Uruguay|Montevideo
Venezuela|Venezuela|Caracas
Mexico|México|Ciudad de México
Guatemala|Guatemala|Ciudad de Guatemala
Honduras|Honduras|Tegucigalpa
El Salvador|El Salvador|San Salvador
Nicaragua|Nicaragua|Managua
Costa Rica|Costa Rica|San José
Panama|Panamá|Ciudad de Panamá
Cuba|Cuba|La Habana
Dominican Republic|República Dominicana|Santo Domingo
Haiti|Haití|Puerto Príncipe
Jamaica|Jamaica|Kingston
United States|Estados Unidos|Washington
Canada|Canadá|Ottawa
Spain|España|Madrid
Portugal|Portugal|Lisboa
France|Francia|París
Italy|Italia|Roma
Germany|Alemania|Berlín
Austria|Austria|Viena
Switzerland|Suiza|Berna
Belgium|Bélgica|Bruselas
Netherlands|Países Bajos|Ámsterdam
Luxembourg|Luxemburgo|Luxemburgo
United Kingdom|Reino Unido|Londres
Ireland|Irlanda|Dublín
Denmark|Dinamarca|Copenhague
Norway|Noruega|Oslo
Sweden|Suecia|Estocolmo
Finland|Finlandia|Helsinki
Iceland|Islandia|Reikiavik
Poland|Polonia|Varsovia
Czech Republic|República Checa|Praga
Slovakia|Eslovaquia|Bratislava
Hungary|Hungría|Budapest
Romania|Rumania|Bucarest
Bulgaria|Bulgaria|Sofía
Greece|Grecia|Atenas
Croatia|Croacia|Zagreb
Serbia|Serbia|Belgrado
Slovenia|Eslovenia|Liubliana
Bosnia and Herzegovina|Bosnia y Herzegovina|Sarajevo
Albania|Albania|Tirana
Ukraine|Ucrania|Kiev
Belarus|Bielorrusia|Minsk
Russia|Rusia|Moscú
Estonia|Estonia|Tallin
Latvia|Letonia|Riga
Lithuania|Lituania|Vilna
Turkey|Turquía|Ankara
Cyprus|Chipre|Nicosia
Israel|Israel|Jerusalén
Lebanon|Líbano|Beirut
Syria|Siria|Damasco
Jordan|Jordania|Ammán
Iraq|Irak|Bagdad
Iran|Irán|Teherán
Saudi Arabia|Arabia Saudita|Riad
Yemen|Yemen|Saná
Oman|Omán|Mascate
Qatar|Catar|Doha
Egypt|Egipto|El Cairo
Libya|Libia|Trípoli
Tunisia|Túnez|Túnez
Algeria|Argelia|Argel
Morocco|Marruecos|Rabat
Sudan|Sudán|Jartum
Ethiopia|Etiopía|Adís Abeba
Kenya|Kenia|Nairobi
Tanzania|Tanzania|Dodoma
Uganda|Uganda|Kampala
Nigeria|Nigeria|Abuya
Ghana|Ghana|Acra
Senegal|Senegal|Dakar
Mali|Malí|Bamako
Angola|Angola|Luanda
Mozambique|Mozambique|Maputo
South Africa|Sudáfrica|Pretoria
Equatorial Guinea|Guinea Ecuatorial|Malabo
India|India|Nueva Delhi
Pakistan|Pakistán|Islamabad
Afghanistan|Afganistán|Kabul
Nepal|Nepal|Katmandú
Bangladesh|Bangladés|Daca
China|China|Pekín
Japan|Japón|Tokio
South Korea|Corea del Sur|Seúl
North Korea|Corea del Norte|Pionyang
Mongolia|Mongolia|Ulán Bator
Vietnam|Vietnam|Hanói
Thailand|Tailandia|Bangkok
Indonesia|Indonesia|Yakarta
Philippines|Filipinas|Manila
Malaysia|Malasia|Kuala Lumpur
Singapore|Singapur|Singapur
Australia|Australia|Canberra
New Zealand|Nueva Zelanda|Wellington
"""

STATEMENTS = [
    "La capital de {name} es {capital}.",
    "{capital} es la capital de {name}.",
]
QUESTIONS = [
    "¿Cuál es la capital de {name}?",
    "¿Qué ciudad es la capital de {name}?",
]


class Spanish:
    def __init__(self, entities):
        by_name = {entity.name: entity for entity in entities}
        self.rows = []
        spanish = {}
        for line in TABLE.strip().splitlines():
            english, name, capital = line.split("|")
            spanish[english] = name
            self.rows.append({"entity": by_name[english], "name": name, "capital": capital})
        for row in self.rows:
            facts = row["entity"].facts
            near = [spanish[name] for name in facts["neighbours"] if name in spanish]
            if near and len(near) == len(facts["neighbours"]):
                row["near"] = near[0] if len(near) == 1 else ", ".join(near[:-1]) + " y " + near[-1]
            if facts["population"]:
                row["population"] = facts["population"].replace(",", ".")

    def question(self, rng):
        row = rng.choice(self.rows)
        draw = rng.random()
        if draw < 0.25:
            return f"Escribe una frase corta sobre {row['capital']}.", STATEMENTS[1].format(**row)
        if draw < 0.35 and "near" in row:
            return "¿Con qué países limita {name}?".format(**row), "{name} limita con {near}.".format(**row)
        return rng.choice(QUESTIONS).format(**row), STATEMENTS[0].format(**row)

    def document(self, rng):
        lines = []
        for _ in range(rng.randint(1, 8)):
            row = rng.choice(self.rows)
            draw = rng.random()
            if draw < 0.2 and "near" in row:
                lines.append("{name} limita con {near}.".format(**row))
            elif draw < 0.35 and "population" in row:
                lines.append("{name} tiene {population} habitantes.".format(**row))
            elif draw < 0.5:
                lines.append(rng.choice(QUESTIONS).format(**row) + " " + STATEMENTS[0].format(**row))
            else:
                lines.append(rng.choice(STATEMENTS).format(**row))
        return rng.choice([" ", "\n"]).join(lines)
